"""Several hosts as one job: how they find each other, agree, and end together.

A "host" is one process of the job, by default one a machine with all its GPUs.
Arrays travel by JAX's own collectives; what is here is said beside them, over a
connection that still works while a collective waits for a host that is gone.
"""
