# SPDX-License-Identifier: Apache-2.0
# The sweep deletes an entry whether or not a packet revived it meanwhile.
s/^\tif (__sync_val_compare_and_swap(&flow->seq, seq, seq | MARK_DYING) != seq)/\tflow->seq = seq | MARK_DYING;\n\tif (false)/
