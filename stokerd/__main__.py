"""`python -m stokerd`."""

from stokerd.main import main

raise SystemExit(main())
