"""The orthonormal Haar transform: an image as one coarse band and three of detail, and back."""

from ultrares.wavelet.bands import Bands as Bands
from ultrares.wavelet.transform import lowpass as lowpass
from ultrares.wavelet.transform import merge as merge
from ultrares.wavelet.transform import split as split
