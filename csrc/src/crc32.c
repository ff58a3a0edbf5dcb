#include "config.h"

/* Four bits a step: a table of 64 bytes instead of 1 KB, half the speed of the byte-wise form. */
uint32_t cge_crc32(uint32_t crc, const void *data, size_t bytes)
{
    static const uint32_t table[16] = { /* the reflected polynomial 0xedb88320 applied to each nibble */
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    const unsigned char *p = (const unsigned char *)data;
    crc = ~crc;
    for (; bytes > 0; bytes--, p++) {
        crc ^= *p;
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}
