# CPU 1 reports an error of its first cache that the hardware cannot correct, while it runs kernel
# code.
storlab-task -n busy -c 1 steps spin &
correct_an_error
ready
# Valid, uncorrected, enabled, with an address, the processor's context lost; no going on. The kernel
# calls that page poisoned, and makedumpfile leaves it out: it is below 16 MiB, where the kernel
# itself never lies.
monitor "mce 1 1 0xb600000000000135 4 0x8d5e40 0"
