# SPDX-License-Identifier: Apache-2.0
# The sweep deletes an entry whether or not a packet revived it meanwhile.
s/^\tif (__sync_val_compare_and_swap(&flow->word, word, word | MARK_DYING) != word)/\tflow->word = word | MARK_DYING;\n\tif (false)/
