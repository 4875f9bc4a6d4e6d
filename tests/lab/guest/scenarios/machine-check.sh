# CPU 1 reports an error of its first cache that the hardware cannot correct, while it runs kernel
# code.
storlab-task -n busy -c 1 steps spin &
correct_an_error
ready
# Valid, uncorrected, enabled, with an address, the processor's context lost; no going on.
monitor "mce 1 1 0xb600000000000135 4 0x1c3d5e40 0"
