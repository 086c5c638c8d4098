"""The loop of one project, and its steps in the order in which they act.

`loop` decides which step is due. Then, in this order:

* `sync`, `image_addresses`: what changed on the labelling platform
* `fetch_images`: fetch and decode images (`read_images`), and embed them on the way with a pretrained encoder
  (`choose_encoder`, `embed_decoded`)
* `embed`: embed images that are stored already, such as those that another encoder has not seen
* `draw_masks`: turn segmentations into masks, those that the model predicts by `segment`
* `newest_window`: if a new order is due, make one with the modules of the next two lines
* `fit_probes`: fit linear probes on all labels (`training_data`), and predict the pool (`pool_predictions`)
* `schedule`, `candidate_source`, `rank_pool`: which round it is; what strategies see of the pool; choose the query
* `publish`: hand the window to the labelling platform
* `sort_pool`: train the pretext task, sort the pool by its loss and cut it into batches. Without a pretrained encoder
  this comes before `embed`.
* `train_network`: train the main network; only without a pretrained encoder

Apart from the loop, `export_model` makes a file of the model that serves.

All work in a `workspace`, which holds the project's `stored_networks` and their `embedding_files`.
"""
