/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The types that cross the border between the BPF programs and the agent.
 * Enumerations and their names come from one list each.
 */
#ifndef TCPWIN_TYPES_H
#define TCPWIN_TYPES_H

#include "config.h"
#include "control.h"
#include "counters.h"
#include "flow_types.h"
#include "messages.h"
#include "pressure.h"

/*
 * Version of all these types and of the maps that outlive an agent (attach
 * --persistent). Increment it with any change of meaning or layout: an agent
 * takes over the maps of the same layout, and drains and removes those of another.
 * If a member gets another name, user/bpf/struct_reader.cpp needs the former one.
 */
#define TCPWIN_LAYOUT_VERSION 8

#endif
