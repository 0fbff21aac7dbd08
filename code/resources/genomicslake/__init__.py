"""What the Glue jobs share: reading VCF and ClinVar files, the tables' columns, rejects, accounting, publishing.

Data flows one way through the modules:
sources → lines → (header, records) → variants | clinvar → publish → loads.
"""

__version__ = "0.1.0"
