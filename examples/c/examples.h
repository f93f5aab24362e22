/* The example nodes in C: each file is a node, in both faces. */
#ifndef EXAMPLES_H
#define EXAMPLES_H

#include "../../sdk/c/wattle.h"

typedef struct {
  void (*configure)(void);
  wattle_event_function event; /* NULL where there is only the other face */
  wattle_columns_function columns;
  wattle_save_function save; /* NULL where there is no state */
  wattle_restore_function restore;
  wattle_tick_function tick; /* NULL where there is no timer */
} example;

extern const example add_field, drop_if, require, count, memory_node, decisions;

#endif
