"""How kernel memory is read: with reasons for what cannot be, in few reads, members by trying."""
