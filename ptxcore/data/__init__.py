"""Images, masks and splits: readers, import, case store, fold plans, resampling, patches."""
