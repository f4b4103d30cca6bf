"""How much of a clip is decoded at a time: SNAC's decoder takes much memory a sample, and some GPUs have little."""

import torch

#: Bytes that SNAC's decoder holds for a sample at its widest: 1,320 to 1,360 were measured.
BYTES_A_SAMPLE = 1400

#: Bytes that all of a clip takes for a sample meanwhile: hidden states, noise, and the samples twice. Counted.
CLIP_BYTES_A_SAMPLE = 28

#: Frames on either side of a window that are decoded with it and thrown away: what its samples depend on. Of Maya1's
#: codec that is 9.9 of the decoder's steps, four to a frame; a codec that wants more is refused.
CONTEXT = 3

#: What of a GPU's memory a window may take. On 8 GiB that is 187 frames, 16 seconds; from 80 GiB on, every clip is one.
_SHARE = 1 / 16

#: Frames of a window on a CPU: 0.7 GB.
_ON_CPU = 256


def window_frames(device: torch.device, frame_samples: int) -> int:
    """Frames of a clip that are decoded together at most, their context not counted."""
    if device.type != "cuda":
        return _ON_CPU
    memory = torch.cuda.get_device_properties(device).total_memory
    allowed = torch.cuda.get_per_process_memory_fraction(device) * memory
    return max(int(allowed * _SHARE / (frame_samples * BYTES_A_SAMPLE)), 1)
