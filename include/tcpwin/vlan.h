/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * VLANs: whether their ids tell connections apart (TCPWIN_RULE_IGNORE_VLAN). If
 * not, no key has one, and a flow notes those of its packets instead.
 */
#ifndef TCPWIN_VLAN_H
#define TCPWIN_VLAN_H

#include "packet.h"

/* The id in the keys of the packet. */
TCPWIN_INLINE __u16 tcpwin_key_vlan(const struct tcpwin_packet *packet, const struct tcpwin_config *config)
{
	return config->rules & TCPWIN_RULE_IGNORE_VLAN ? 0 : packet->vlan;
}

/* The first two distinct ids of each direction stay. Out of line, because few packets need it and it takes stack. */
TCPWIN_OUT_OF_LINE int tcpwin_add_vlan(struct tcpwin_flow *flow, __u16 vlan, __u32 from)
{
	if (!flow)
		return 0;
	__u16 *ids = flow->analysis[from & 1].vlans;

	if (!ids[0])
		ids[0] = vlan;
	else if (ids[0] != vlan && !ids[1])
		ids[1] = vlan;
	return 0;
}

TCPWIN_INLINE void tcpwin_note_vlan(struct tcpwin_flow *flow, const struct tcpwin_config *config,
				    const struct tcpwin_packet *packet, __u32 from)
{
	if (packet->vlan && (config->rules & TCPWIN_RULE_IGNORE_VLAN))
		tcpwin_add_vlan(flow, packet->vlan, from);
}

#endif
