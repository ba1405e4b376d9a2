"""The worker: the process that runs the farm's sessions on this machine.

It speaks the worker part of the service's protocol to its farm and nothing else: what it may run, and when, is the
farm's decision. It keeps no state that a restart would miss; the farm reschedules what it had not reported.
"""
