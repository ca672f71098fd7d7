"""The queue at work: jobs from the store run in turn, and what happens to them is told and kept.

Read in this order: reader (a request to a plan), waiting (whose turn it is), attempt (one run of a job), scheduler;
journal and events for what is told.
"""
