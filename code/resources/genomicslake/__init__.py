"""What the Glue jobs share: reading VCF and ClinVar files, the tables' columns, rejects, accounting, publishing.

Data flows one way through the modules:
sources → lines → (header, records) → scan → staged → variants | clinvar → writing → publish. `tally` counts on the way
what has to come out, `job` holds it against what did, `inspection` tells the same without converting.
"""

__version__ = "0.1.0"
