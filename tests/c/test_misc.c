/* Status texts and CRC-32. */
#include "check.h"
#include "suites.h"

#include <string.h>

void suite_status(void)
{
    static const int unknown[] = {-1, CGE_ERR_MISMATCH + 1, INT32_MAX, INT32_MIN};
    check_case("every status has a text of its own");
    for (int i = CGE_OK; i <= CGE_ERR_MISMATCH; i++) {
        const char *text = cge_status_text((cge_status)i);
        if (!CHECK(text != NULL)) continue;
        CHECK(strlen(text) > 1);
        for (int j = CGE_OK; j < i; j++) CHECK(strcmp(text, cge_status_text((cge_status)j)) != 0);
    }
    check_case("values that are no status");
    for (int32_t i = 0; i < COUNT_OF(unknown); i++) {
        /* written as an integer: an enum variable may hold any */
        cge_status status = CGE_OK;
        memcpy(&status, &unknown[i], sizeof status < sizeof unknown[i] ? sizeof status : sizeof unknown[i]);
        CHECK(cge_status_text(status) != NULL && strlen(cge_status_text(status)) > 1);
    }
}

/* Bit by bit, as the polynomial is defined. */
static uint32_t crc_by_bits(const unsigned char *bytes, size_t count)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < 8 * count; i++) {
        uint32_t bit = (crc ^ (uint32_t)(bytes[i / 8] >> (i % 8))) & 1;
        crc = (crc >> 1) ^ (bit != 0 ? 0xedb88320u : 0);
    }
    return ~crc;
}

void suite_crc32(void)
{
    if (!check_room("crc32", 300)) return;
    unsigned char *bytes = check_bytes(300);
    CHECK(cge_crc32(0, "123456789", 9) == 0xcbf43926u);
    CHECK(cge_crc32(0, "", 0) == 0);
    CHECK(cge_crc32(0, NULL, 0) == 0);
    CHECK(cge_crc32(0x12345678u, NULL, 0) == 0x12345678u);
    CHECK(cge_crc32(0, "\0\0\0\0", 4) == 0x2144df1cu);
    for (uint32_t i = 0; i < 300; i++) bytes[i] = (unsigned char)mix32(i);
    for (size_t count = 0; count <= 300; count += 1 + count / 8) {
        uint32_t whole = cge_crc32(0, bytes, count);
        CHECK(whole == crc_by_bits(bytes, count));
        for (size_t split = 0; split <= count; split += 1 + count / 5)
            CHECK(cge_crc32(cge_crc32(0, bytes, split), bytes + split, count - split) == whole);
    }
}
