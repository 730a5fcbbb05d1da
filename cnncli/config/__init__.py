"""What a config file may say, how it is read, and how its mistakes are reported.

From `mnist.yaml` to a network, in this order:

1. `files.find_config` finds the file: that path, then ./configs, then the configs that ship with the package.
2. `yaml_reader.read_yaml` reads it into plain mappings, lists and scalars, with the line of each key.
3. `overrides.apply_override` applies each override, `KEY=VALUE`.
4. `schema.Config` checks the values, and `list_entries.read_entry` each entry of `model`. `errors` adds file and
   line to whatever is wrong. `check` finds unknown names and wrong options, so that all mistakes are told at once.
5. `nn.build.build_network` turns `config.model` into the network. `training.prepare.prepare` calls it, and builds the
   batches, the optimizer and the schedule as well.

`load.load_config` does steps 1 to 4. `yaml_writer.write_yaml` writes a config back. `values` holds what they all share.
"""
