#include "config.h"

const char *cge_status_text(cge_status status)
{
    switch (status) {
    case CGE_OK: return "ok";
    case CGE_ERR_NULL: return "a required pointer is NULL";
    case CGE_ERR_ARGUMENT: return "an argument is outside its range";
    case CGE_ERR_SHAPE: return "the geometry is impossible: a size below 1, groups that do not divide the channels, or a kernel larger than the padded input";
    case CGE_ERR_OVERFLOW: return "a tensor or an arena would have more elements than CGE_MAX_ELEMS";
    case CGE_ERR_ALIGN: return "a buffer is not aligned for its element type";
    case CGE_ERR_ARENA: return "the arena or buffer is shorter than the size query says";
    case CGE_ERR_LABEL: return "a class label is not below the number of classes";
    case CGE_ERR_MODE: return "the network was not initialised for this call";
    case CGE_ERR_NOT_FINITE: return "the loss, a gradient or a new weight is NaN or infinite";
    case CGE_ERR_FORMAT: return "the bytes are not a complete, consistent saved network";
    case CGE_ERR_VERSION: return "the saved network has a format version that this library does not read";
    case CGE_ERR_CRC: return "the saved network is damaged (checksum)";
    case CGE_ERR_MISMATCH: return "the saved network has other layers than the one to restore into";
    case CGE_ERR_BUSY: return "another call, or a step in slices, is at work on the network";
    case CGE_AGAIN: return "a step in slices is not done yet; call cge_network_resume again";
    case CGE_ERR_ARITHMETIC: return "the network is for builds with fused multiply-adds (CGE_FUSED=1)";
    default: return "unknown status";
    }
}
