"""Saved networks as older versions of the format held them, and where things lie in those of today."""

import struct
import zlib

HEADER, RECORD = 4 * 22, 4 * 7  # bytes of the header, and of a layer's record without its fields
TRAINS = 4 * 5  # in a record
OLD_HEADERS = {1: 4 * 17, 2: 4 * 19, 3: HEADER}  # version 1 had no stream of shuffles; before 3 numbers were the only input
OLD_RECORDS = {1: 16, 2: 16, 3: 19}  # words; before 3 no inputs by number, nothing that learns in part
# Where fields of each kind lay in records that had a place for any field, by their number in the config.
_WINDOW = {3: 2, 4: 3, 5: 4, 6: 5, 7: 8, 8: 9, 9: 10, 10: 11}
OLD_FIELDS = {1: {field: field - 2 for field in range(3, 15)}, 2: {0: 1}, 3: _WINDOW, 4: _WINDOW, 7: {0: 13}}


def records(data):
    """(words of the record, its fields) of each layer, and where the parameters begin."""
    at, found = HEADER, []
    for _ in range(struct.unpack_from("<I", data, 12)[0]):
        words = struct.unpack_from("<7I", data, at)
        at += RECORD
        found.append((words, struct.unpack_from(f"<{words[6]}I", data, at)))
        at += 4 * words[6]
    return found, at


def _old_record(record, fields, words):
    kind, flags, init, first, second, trains, _ = record
    old = [0] * 19
    old[0], old[14:19] = kind, [flags, init, first, second, trains]
    for field, word in OLD_FIELDS.get(kind, {}).items():
        old[word] = fields[field]
    return struct.pack(f"<{words}I", *old[:words])


def older(data, version):
    """What a library that wrote this version would have written."""
    layers, params = records(data)
    old = b"".join(_old_record(*layer, OLD_RECORDS[version]) for layer in layers)
    body = bytearray(data[: OLD_HEADERS[version]] + old + data[params:-4])
    struct.pack_into("<2I", body, 4, version, len(body) + 4)
    return sealed(body)


def sealed(body):
    """With the checksum behind it."""
    return bytes(body) + struct.pack("<I", zlib.crc32(body))
