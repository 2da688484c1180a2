package inject

import (
	"errors"
	"fmt"
	"strconv"

	"gopkg.in/yaml.v3"
)

// judge says which workloads get the sidecar, and whether any does. The admission policies judge alike.
func (o Options) judge(list []workload) (outcomes []Outcome, wanted bool) {
	for _, w := range list {
		reason := w.leftAlone(o.All)
		outcomes = append(outcomes, Outcome{Workload: w.name(), Injected: reason == "", Reason: reason, Advice: w.advice()})
		wanted = wanted || reason == ""
	}
	return outcomes, wanted
}

func (w workload) leftAlone(all bool) string {
	label, labelled := texts(w.pod, "metadata", "labels")[Label]
	switch {
	case labelled && label != "true":
		return fmt.Sprintf("its label %s is %q", Label, label)
	case !labelled && !all:
		return fmt.Sprintf("its pod has no label %s: \"true\"", Label)
	case named(get(get(w.pod, "spec"), "initContainers"), Container) != nil:
		return "it has a sidecar"
	}
	return ""
}

// advice says what the pod should think over. The API server says it too, as a warning.
func (w workload) advice() string {
	grace := text(get(get(w.pod, "spec"), "terminationGracePeriodSeconds"))
	if seconds, err := strconv.Atoi(grace); err == nil && seconds < leastGrace {
		return graceAdvice
	}
	return ""
}

func injectPod(pod *yaml.Node, p Params) error {
	spec := get(pod, "spec")
	containers := get(spec, "containers")
	switch {
	case containers == nil || containers.Kind != yaml.SequenceNode || len(containers.Content) == 0:
		return errors.New("its pod has no containers")
	case text(get(spec, "hostNetwork")) == "true":
		return errors.New("its pod has hostNetwork: true; its sidecar's localhost would be that of every pod on the node, and so would its credentials")
	case named(containers, Container) != nil:
		return fmt.Errorf("a container is called %s and is no init container", Container)
	}
	annotations := texts(pod, "metadata", "annotations")
	p, err := p.of(annotations)
	if err != nil {
		return err
	}
	urls, err := baseURLs(annotations[AdaptersAnnotation])
	if err != nil {
		return err
	}
	if err := addURLs(containers, urls); err != nil {
		return err
	}
	if err := addURLs(get(spec, "initContainers"), urls); err != nil {
		return err
	}
	c, err := node(p.container())
	if err != nil {
		return err
	}
	list := sequence(spec, "initContainers")
	list.Content = append([]*yaml.Node{c}, list.Content...)
	return addMissing(sequence(spec, "volumes"), p.volumes(), func(v volume) string { return v.Name })
}

// addURLs gives each container the variables that it does not set itself.
func addURLs(containers *yaml.Node, urls []variable) error {
	if containers == nil || len(urls) == 0 {
		return nil
	}
	for _, c := range containers.Content {
		if c.Kind != yaml.MappingNode {
			return errors.New("a container of its pod is no mapping")
		}
		if err := addMissing(sequence(c, "env"), urls, func(v variable) string { return v.Name }); err != nil {
			return err
		}
	}
	return nil
}

// addMissing appends to a list those of items whose name no element has.
func addMissing[T any](list *yaml.Node, items []T, name func(T) string) error {
	for _, item := range items {
		if named(list, name(item)) != nil {
			continue
		}
		n, err := node(item)
		if err != nil {
			return err
		}
		list.Content = append(list.Content, n)
	}
	return nil
}
