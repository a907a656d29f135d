//:if REDUCE_SUBGROUP
//:include lib/reduce_subgroup
//:else
//:include lib/reduce_shared
//:end
