"""From graph to plan: kernel requests, the choice of variants, chunks, memory, and the plan itself."""
