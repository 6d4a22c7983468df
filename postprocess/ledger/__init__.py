"""How complete a day is: who has which payloads, what is missing and nobody has, what was rejected, which bars come out right.

A unit fills an `account.Account` while it runs; `combine.combine` makes the day's ledger of all its units' accounts.
"""
