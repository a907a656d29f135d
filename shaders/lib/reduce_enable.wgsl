//:if REDUCE_SUBGROUP
enable subgroups;
diagnostic(off, subgroup_uniformity);
//:end
