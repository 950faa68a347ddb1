"""How good our slates are beside other people's recommenders, on one split, in one run; and the tables of papers."""
