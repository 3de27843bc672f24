from __future__ import annotations

from ultrares.training.execution import Execution


def test_only_several_processes_need_to_be_told_of_idle_weights() -> None:
    for alone in (Execution(), Execution("gpu", [3]), Execution("gpu", 2, "fsdp")):
        assert alone.with_idle_weights() == alone
    for several in (Execution("cpu", 2), Execution("gpu", [0, 1])):
        assert several.with_idle_weights().strategy == "ddp_find_unused_parameters_true"
