"""What a training measures of itself, and its alarms: margins by picture, token and length; and signs of PPO's rounds.

`sample` (the pairs), `margins` (what is read of them), `signs` (from margins to alarms), `callback` (when it is
measured), `on_policy` (the same of PPO's rounds).
"""
