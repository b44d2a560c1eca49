"""Posterior means of a `Score` on a GPU and their gradients, in Triton.

Numbers that a score reads of queries and keys get gradients that are sums over keys and over queries. FlexAttention
adds them with one atomic operation for every edge. Here each block of keys goes through all queries and each block of
queries through all keys (Dao 2023, algorithms 1 and 2, the second as two kernels), so that the sums are those of a
block's own rows. Scores are taken times log2 e. Import it where there is a GPU.
"""
