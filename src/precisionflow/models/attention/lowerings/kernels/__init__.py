"""Posterior means of a `Score` on a GPU and their gradients, in Triton.

Numbers that a score reads of queries and keys get gradients that are sums over keys and over queries. FlexAttention
adds them with one atomic operation for every edge. Here blocks of queries go through all keys for the mean, blocks of
keys through all queries for all gradients (Dao 2023, algorithms 1 and 2): sums over queries are a block's own, those
over keys one atomic operation of a query and block. Scores other than sums are taken times log2 e. Import it where
there is a GPU.
"""
