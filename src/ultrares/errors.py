"""Every error a user can meet, as one tree.

::

    UltraresError                  one clear sentence: what, where, what to do
    ├── InputError                 the input cannot be used
    │   ├── RasterError            a file is missing, unreadable or of a kind we refuse
    │   ├── ScaleError             the scale asked for cannot be done
    │   ├── OptionError            an option's value is unknown or contradicts another
    │   └── ReferenceImageError       a reference image that cannot help
    ├── ModelError                 a model is unknown, corrupt or does not fit
    ├── OutputError                the result cannot be written, or did not survive its read-back
    ├── ClusterError               a cluster cannot be reached, or its workers cannot do the job
    └── MissingExtraError          an optional dependency is not installed

All of them are raised with a sentence that a person can act on; the command line prints it and exits 1.
"""


class UltraresError(Exception):
    """Anything that ultrares reports to its user in one sentence."""


class InputError(UltraresError, ValueError):
    """The input cannot be used as it is."""


class RasterError(InputError):
    """A raster is missing, unreadable, or of a kind that cannot be upscaled."""


class ScaleError(InputError):
    """The scale asked for is not one that this model can produce."""


class OptionError(InputError):
    """An option has an unknown value, or two options contradict each other."""


class ReferenceImageError(InputError):
    """A reference image cannot be used with this scene or model."""


class ModelError(UltraresError):
    """A model is unknown, its files are corrupt, or it does not fit the task."""


class OutputError(UltraresError, OSError):
    """The result could not be written, or its read-back differs from what was computed."""


class ClusterError(UltraresError):
    """A cluster cannot be reached, was lost, or has workers that cannot do the job."""


class MissingExtraError(UltraresError, ImportError):
    """An optional dependency is not installed; the message ends in the line to type."""
