# SPDX-License-Identifier: Apache-2.0
# A packet counts itself in a flow whether or not another packet does at that moment.
s/^\tif (!swap_seq(flow, seq, tcpwin_marked(seq, TCPWIN_MARK_BUSY)))/\tif (false)/
