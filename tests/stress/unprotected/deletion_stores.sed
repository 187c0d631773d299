# SPDX-License-Identifier: Apache-2.0
# The sweep deletes an entry whether or not a packet reused it meanwhile.
s/^\tif (!swap_seq(flow, seq, seq | TCPWIN_MARK_DYING))/\tflow->seq = seq | TCPWIN_MARK_DYING;\n\tif (false)/
