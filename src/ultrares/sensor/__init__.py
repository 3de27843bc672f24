"""How a sensor turns fine pixels into coarse ones, and how to hold a result to that."""
