# SPDX-License-Identifier: Apache-2.0
# The sweep ends a flow whether or not a packet came since it was copied.
s/^\tif (!swap_seq(flow, seq, seq | TCPWIN_MARK_ENDED)) {/\tflow->seq = seq | TCPWIN_MARK_ENDED;\n\tif (false) {/
