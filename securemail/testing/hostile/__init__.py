"""Hostile mail servers: each plays one named attack, and says whether the client fell for it.

`steps`      what a server does at a moment
`scenario`   one attack, as data; `scenarios` has them all, a file for each family
`play`       the polite servers, every moment of which a scenario may replace
`verdict`    what a client is to be told, from what it sent
`server`     all of it together, on a port
`recording`  the server beneath: it keeps every byte
`leaks`      looks for a secret, in any encoding
"""
