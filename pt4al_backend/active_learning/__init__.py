"""The loop of one project, and its steps in the order in which they act.

`loop` decides which step is due. Then, in this order:

* `sync`, `image_addresses`: what changed on the labelling platform
* `fetch_images`: fetch and decode images
* `sort_pool`: train the pretext task, sort the pool by its loss and cut it into batches
* `embed`: embed the images that linear probes are fitted on
* `draw_masks`: turn segmentations into masks
* `fit_probes`: fit linear probes on all labels (`training_data`), and predict the pool (`pool_predictions`)
* `schedule`, `candidate_source`, `rank_pool`: which round it is; what strategies see of the pool; choose the query
* `publish`: hand the window to the labelling platform
* `train_network`: train the main network

All work in a `workspace`, which holds the project's `stored_networks` and their `embedding_files`.
"""
