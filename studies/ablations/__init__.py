"""What matters when a Flag-DiT is trained at a small scale: runs that differ in one thing each.

Read in this order: networks, variants, pictures, measure, run, summary, plots, report.
"""
