/*
 * The double-precision copy for gradient checks on the host: the same sources once more, with cge_real as double and
 * every public name of the header's real section ending in _f64 (f64_names.h). What is not public becomes static.
 * Boards do not compile this file. Serialisation and self-test exist in single precision only.
 */
#define CGE_F64 1
#define CGE_F64_COPY 1
#define CGE_INTERNAL static

#include "f64_names.h"

#include "copied.inc"
