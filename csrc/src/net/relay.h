/* What relays share that only run forward (relay.c), and that learn (learning_relay.c). */
#ifndef CGE_RELAY_H
#define CGE_RELAY_H

#include "units.h"
#include "../layers/conv2d_unit.h"

enum { CGE_MOST_RELAY_UNITS = 32 };

/* Units as they are read here. */
typedef struct cge_relay_net {
    const cge_model *model;
    const cge_layer_plan *layers;
    const cge_unit *units;
    int32_t count;
} cge_relay_net;

static inline int cge_relay_trait(const cge_relay_net *n, int32_t u, int trait)
{
    return (n->model->layers[n->units[u].main].kind->traits & trait) != 0; /* of two units both have a layer that computes */
}

static inline int cge_relay_reads(const cge_relay_net *n, int32_t u, int32_t source)
{
    return n->units[u].x[0] == source || n->units[u].x[1] == source;
}

CGE_INTERNAL cge_shape cge_shape_put_out(const cge_relay_net *n, int32_t u);

/* Rows of unit u's inputs that row `row` looks at; as cge_conv2d_rows_of. */
CGE_INTERNAL cge_range cge_rows_looked_for(const cge_relay_net *n, int32_t u, int32_t row);

/* Whether what unit u reads are rows of what units from `begin` on put out, or comes from elsewhere. */
CGE_INTERNAL int cge_reads_rows(const cge_relay_net *n, int32_t begin, int32_t u);

/* The last unit of the relay or block that unit u is one of; or u. */
CGE_INTERNAL int32_t cge_last_of_relay(const cge_relay_net *n, int32_t u);

/* Of a unit that reads bytes: elements that one of its rows looks at. They are made numbers for each row again. */
CGE_INTERNAL int32_t cge_relay_source_elems(const cge_relay_net *n, int32_t u);

/* Of a relay that learns: whether units begin .. end can be one, and elements of its scratch backward. */
CGE_INTERNAL int cge_units_could_learn_by_rows(const cge_relay_net *n, int32_t begin, int32_t end);
CGE_INTERNAL int32_t cge_learning_relay_scratch(const cge_relay_net *n, int32_t begin, int32_t end, int at_once);

/* ---- at work ---- */

/* Rows of a map or of its gradient, from row `first` on. */
typedef struct cge_relay_window {
    cge_real *rows; /* NULL: they lie where those of a sum will */
    int32_t first;
} cge_relay_window;

typedef struct cge_relay_walk {
    cge_relay_net of;
    const cge_network *net;
    const cge_real *params, *x;
    int32_t begin, end; /* units, both included */
    cge_real *room;    /* of the row that is made */
    cge_real *passing; /* rows that are passed on, and the room between them */
    cge_real *largest; /* |x| between units; NULL: nobody asks */
    int16_t *made; /* rows, of each unit from `begin` on */
    cge_relay_window *windows; /* of each, too */
} cge_relay_walk;

/* With what counts its rows and holds them, which are zeros. */
CGE_INTERNAL void cge_begin_relay(cge_relay_walk *s, const cge_network *net, const cge_real *params, int32_t end,
                                  const void *x, int16_t *made, cge_relay_window *windows);

/* A unit of the relay that has not yet made so many rows, of those that unit u reads; -1: none. */
CGE_INTERNAL int32_t cge_lacking_source(const cge_relay_walk *s, int32_t u, int32_t rows);

/* Rows that a window holds from row `first` on move to its beginning. */
CGE_INTERNAL void cge_move_window(cge_relay_window *w, int32_t first, int32_t end, int32_t elems);

/* What row `row` of unit u looks at of its input: from row *first on. */
CGE_INTERNAL const cge_real *cge_rows_of_input(const cge_relay_walk *s, int32_t u, const cge_unit_call *c, int32_t row, int32_t *first);

/* One row of a unit with two inputs, without tensors. */
CGE_INTERNAL cge_layer_call cge_row_of_merge(const cge_unit_call *c);

/* The next row of unit u, a convolution or one with two inputs, at y. `c` describes it. */
CGE_INTERNAL void cge_make_relay_row(const cge_relay_walk *s, int32_t u, const cge_unit_call *c, cge_real *y);

#endif
