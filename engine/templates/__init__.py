"""Model families as one line of a definition: `{"template": "resnet20", "classes": 10}`.

A template is its options and writes a native definition from them, without inputs: those are the document's own
(`"inputs"`) or the job's data. A new one is one file here.
"""
