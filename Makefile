# Aliases for start.py: `make tutorial PROFILE=quick` is `python3 start.py tutorial --profile quick`.
PYTHON ?= python3

.PHONY: tutorial test test-fast lab bench clean help
.DEFAULT_GOAL := help

tutorial:
	$(PYTHON) start.py tutorial $(if $(PROFILE),--profile $(PROFILE)) $(ARGS)

test test-fast lab bench clean help:
	$(PYTHON) start.py $@ $(ARGS)
