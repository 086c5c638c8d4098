"""Label Studio's run-length encoding of painted pixels (rle-pack, of the RGBA values of a canvas).

label-studio-sdk reads and writes it too, but it trusts the length in the first four bytes, takes 64 bytes of memory per
byte and a second for half a megabyte, does not notice a truncated end, and writes with 13 bytes of memory per pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 8_000_000
"""Largest encoding that is read; a photo of 12 megapixels takes 0.1 to 2 million bytes."""
CHANNELS = 4
SIZES = np.array([3, 4, 8, 16], dtype=np.uint32)
"""The numbers of bits in which the length of a run may be written."""
LONGEST = 2**16


def packed(where: NDArray[np.bool_]) -> bytes:
    """Encode painted pixels (pixels,), for `painted` to read."""
    starts = np.concatenate([[0], np.flatnonzero(where[1:] != where[:-1]) + 1])
    lengths = CHANNELS * np.diff(np.append(starts, len(where)))
    pieces = -(-lengths // LONGEST)
    last = np.cumsum(pieces) - 1
    piece = np.full(pieces.sum(), LONGEST, dtype=np.uint32)
    piece[last] = lengths - (pieces - 1) * LONGEST
    value = np.repeat(where[starts], pieces) * np.uint32(255)
    size = np.searchsorted(2 ** SIZES[:-1], piece).astype(np.uint32)
    # A run: 1, two bits for the size of the length, the length less 1 in up to 16 bits, eight bits for the value.
    runs = (1 << 26) | (size << 24) | ((piece - 1) << 8) | value
    column = np.arange(27, dtype=np.uint32)
    bits = (runs[:, None] >> (26 - column) & 1).astype(bool)
    written = (column < 3) | (column >= 19 - SIZES[size][:, None])
    head = f"{CHANNELS * len(where):032b}{8 - 1:05b}" + "".join(f"{each - 1:04b}" for each in SIZES.tolist())
    return np.packbits(np.concatenate([np.frombuffer(head.encode(), np.uint8) == ord("1"), bits[written]])).tobytes()


def painted(rle: bytes, pixels: int) -> NDArray[np.bool_]:
    """Decode painted pixels: those whose opacity, the last of four values, is not 0.

    Returns:
        (pixels,) whether each pixel was painted.

    Raises:
        ValueError: this is not a valid encoding of so many pixels.
    """
    if len(rle) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES:,} bytes")
    bits = f"{int.from_bytes(rle, 'big'):0{8 * len(rle)}b}"
    values = CHANNELS * pixels
    if int(bits[:32], 2) != values:
        raise ValueError(f"not of {pixels:,} pixels")
    word = int(bits[32:37], 2) + 1
    sizes = [int(bits[at : at + 4], 2) + 1 for at in range(37, 53, 4)]
    opaque = np.zeros(pixels, dtype=bool)
    at, begin = 53, 0
    while begin < values:
        is_run, size = bits[at : at + 1] == "1", sizes[int(bits[at + 1 : at + 3], 2)]
        at += 3
        end = min(values, begin + int(bits[at : at + size], 2) + 1)
        at += size
        if is_run:
            opaque[begin // CHANNELS : end // CHANNELS] = int(bits[at : at + word], 2) > 0
            at += word
        else:
            stop = at + word * (end - begin)
            opaque[begin // CHANNELS : end // CHANNELS] = _opaque(bits[at:stop], word, -1 - begin)
            at = stop
        begin = end
    if at > len(bits):
        raise ValueError("the end is missing")
    return opaque


def _opaque(bits: str, word: int, first: int) -> NDArray[np.bool_]:
    """Whether every fourth value, from number `first` modulo 4 on, is not 0; the values are written without runs."""
    digits = np.frombuffer(bits.encode(), dtype=np.uint8).reshape(-1, word)
    nonzero: NDArray[np.bool_] = (digits[first % CHANNELS :: CHANNELS] != ord("0")).any(axis=1)
    return nonzero
