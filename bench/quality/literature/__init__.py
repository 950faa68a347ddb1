"""Our generators, and where it makes sense the whole request path, on the data and protocols of published tables.

The files are not ours to hand out: bring them in a local folder. Which form it has is told by the names in it:

    *.train.rating, *.test.rating, *.test.negative   leave one out, 99 sampled negatives (NCF): HR@10, NDCG@10
    train.txt, test.txt                              one person a line (LightGCN): recall@20, NDCG@20, full ranking
    any one other *.txt                              sequences, the last item left out: HR@10, NDCG@10, full ranking
"""
