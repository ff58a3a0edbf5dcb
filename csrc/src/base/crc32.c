#include "config.h"

#if CGE_SMALL

/* Four bits a step: a table of 64 bytes, 12 instructions a byte on a Cortex-M4. */
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

#else

/* The reflected polynomial 0xedb88320 applied to each byte: it is linear, so a row is that of its upper nibble, and all lower ones. */
#define CRC_ROW(upper)                                                                                                   \
    (upper) ^ 0x00000000u, (upper) ^ 0x77073096u, (upper) ^ 0xee0e612cu, (upper) ^ 0x990951bau,      \
        (upper) ^ 0x076dc419u, (upper) ^ 0x706af48fu, (upper) ^ 0xe963a535u, (upper) ^ 0x9e6495a3u,  \
        (upper) ^ 0x0edb8832u, (upper) ^ 0x79dcb8a4u, (upper) ^ 0xe0d5e91eu, (upper) ^ 0x97d2d988u,  \
        (upper) ^ 0x09b64c2bu, (upper) ^ 0x7eb17cbdu, (upper) ^ 0xe7b82d07u, (upper) ^ 0x90bf1d91u

static const uint32_t crc_table[256] = {
        CRC_ROW(0x00000000u), CRC_ROW(0x1db71064u), CRC_ROW(0x3b6e20c8u), CRC_ROW(0x26d930acu),
        CRC_ROW(0x76dc4190u), CRC_ROW(0x6b6b51f4u), CRC_ROW(0x4db26158u), CRC_ROW(0x5005713cu),
        CRC_ROW(0xedb88320u), CRC_ROW(0xf00f9344u), CRC_ROW(0xd6d6a3e8u), CRC_ROW(0xcb61b38cu),
        CRC_ROW(0x9b64c2b0u), CRC_ROW(0x86d3d2d4u), CRC_ROW(0xa00ae278u), CRC_ROW(0xbdbdf21cu)};

CGE_INLINE uint32_t crc_of_byte(uint32_t crc)
{
    return (crc >> 8) ^ crc_table[crc & 0xffu];
}

/* A word a turn, 4.75 instructions a byte on a Cortex-M4; the table takes 1 KB of flash. */
uint32_t cge_crc32(uint32_t crc, const void *data, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)data;
    crc = ~crc;
    for (; bytes >= 4; bytes -= 4, p += 4) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = crc_of_byte(crc_of_byte(crc_of_byte(crc_of_byte(crc))));
    }
    for (; bytes > 0; bytes--, p++) crc = crc_of_byte(crc ^ *p);
    return ~crc;
}

#endif
