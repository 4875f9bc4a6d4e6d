# Idle; the host injects an NMI that nobody claims, as an operator's NMI button does.
setting kernel/unknown_nmi_panic 1
correct_an_error
ready
monitor nmi
