"""DPO of spavl and of TRL's DPOTrainer side by side; `python -m bench.dpo` runs it.

In reading order:

run_spec       configuration and timing of a run
workload       the model, its processor and the pairs
spavl_dpo      a run of spavl
trl_dpo        a run of TRL
in_subprocess  a run of either in a process of its own
comparison     alternating runs, after a search for the fastest size of a forward pass
ratios         rows of the table
flops          floating-point operations of either side, by arithmetic
cpu, gpu       what is measured on a CPU and on a GPU
"""
