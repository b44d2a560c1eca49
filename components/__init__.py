"""KFP components: one for each verb."""
